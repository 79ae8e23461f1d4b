;; tries: begins with more than `memory_bytes`
;; must: load shape "2162688 bytes of memory to begin with"
(memory (export "memory") 33)
