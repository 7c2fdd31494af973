"""Where the stage `fetch` brings data from. What is secret is in no message and in no output of it."""
