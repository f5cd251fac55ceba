"""From files to clean, divided, encoded rows.

The line: source, columns, clean, repeated (duplicates and conflicts), divided (splits), guarded (leakage), encode, sampling, batches.
What happens to a row on the way is a change; table is what stands between two steps; health says in words what was found.
 Below source stand formats (which reader opens which ending: delimited
for csv and tsv, objects for json and jsonl), encoding (which characters the bytes stand for), hub (saved folders and hub names)
and tables (Arrow files in the cache, memory mapped). Beside it, labels reads the label column as values, and fingerprint says
what rows are, whatever their file is called.
"""
