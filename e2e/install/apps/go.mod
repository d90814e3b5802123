module installapps

go 1.24
