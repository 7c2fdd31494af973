"""What the stage `card` writes down of a model and its data, and how: facts from files, as Markdown and as a page."""
