module pounce-tests/h2c

go 1.24
