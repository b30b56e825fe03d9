"""Files of flows as they come: CSV and its relatives, Zeek logs, JSON lines and EVE, Parquet; a file for each format.

`table_reader` opens any of them, `sheet` is what they give.
"""
