"""What a language model writes about figures, held against these figures: pure functions over texts.

A *fact* is a sentence that the product made of its tables. Prose is faithful where each of its claims repeats one.
"""
