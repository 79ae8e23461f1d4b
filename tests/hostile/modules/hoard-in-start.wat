;; tries: takes memory before any call
;; must: load call describe sandbox/memory "2097152 are allowed"
(func $start (loop $l (drop (memory.grow (i32.const 1))) (br $l)))
(start $start)
