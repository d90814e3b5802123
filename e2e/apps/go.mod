module flaggerpy/e2e/apps

go 1.24
