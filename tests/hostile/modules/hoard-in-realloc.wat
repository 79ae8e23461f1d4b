;; tries: takes memory in the allocator
;; must: refuse sandbox/memory "2097152 are allowed"
(func (export "configure") (param $at i32) (param $length i32) (result i32)
  (global.set $count (i32.const 1)) (i32.const 0))
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
  (if (global.get $count) (then (loop $l (drop (memory.grow (i32.const 1))) (br $l))))
  (i32.const 131072))
