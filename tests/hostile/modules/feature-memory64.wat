;; tries: uses a memory of 64-bit addresses
;; must: load compile "memory64 must be enabled"
(component (core module (memory i64 1)))
