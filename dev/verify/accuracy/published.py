"""What others report on the same sets. Protocols differ in details; the notes say how."""

from typing import Final

PUBLISHED: Final = {
    "skab": ("Conv-AE F1 .78 FAR 13.6 MAR 28 (not causal); T2+Q (PCA) F1 .76 FAR 26.6 MAR 24.9 (SKAB's leaderboard)",),
    "smdTsb": ("VUS-PR of TSB-AD-M, files that are not all here: EIF .609, TranAD .589; best of 23 for each file .719",),
    "smdNative": ("none without point adjustment that is comparable",),
    "asd": ("none without point adjustment that is comparable",),
    "nab": ("all 58 files, threshold optimised on them: ARTime 74.9, Numenta HTM 70.5, RCF 51.7 (NAB's scoreboard)",),
}
