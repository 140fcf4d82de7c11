seq 150000 | LC_ALL=C sort | sed -n '1p;75000p;$p'
