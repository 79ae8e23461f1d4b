;; tries: takes memory for ever while it is described
;; must: load call describe sandbox/memory "2097152 are allowed"
(func (export "describe") (result i32)
  (loop $l (drop (memory.grow (i32.const 1))) (br $l)) unreachable)
