"""`make accuracy`: how good the detection is, on SKAB, SMD, ASD and NAB, by protocols that others publish figures for.

`sets` reads the data and says what is learned from and what is judged, `nab` is NAB's score, `contest` runs a spec over a set,
`published` holds what others report. Scores are causal, one configuration serves a whole set, labels never reach the detector,
and no point adjustment is made anywhere.
"""
