;; tries: takes memory for ever while it is configured
;; must: load call configure sandbox/memory "2097152 are allowed"
(func (export "configure") (param $at i32) (param $length i32) (result i32)
  (loop $l (drop (memory.grow (i32.const 1))) (br $l)) unreachable)
