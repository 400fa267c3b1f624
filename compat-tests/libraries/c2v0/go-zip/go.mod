module gozip

go 1.19
