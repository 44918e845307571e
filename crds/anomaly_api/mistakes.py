"""Mistakes in a document, in sentences."""

from pydantic import ValidationError


def sentences(error: ValidationError) -> list[str]:
    """What is wrong with types and bounds, a line each: where it stands in the document, and what is the matter there."""
    return [
        f"{'.'.join(str(part) for part in each['loc']) or 'document'}: {each['msg']}"
        for each in error.errors(include_url=False, include_input=False)
    ]
