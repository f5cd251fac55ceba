"""Before a training begins: what it will take (memory, time and disk), and which base model suits the rows."""
