"""From the cells of columns to the fields of flows: numbers, categories, times and addresses.

`reading` decides what each column is, `fields` reads the columns so; the others each know one kind of cell.
"""
