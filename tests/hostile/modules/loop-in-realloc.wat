;; tries: loops in the allocator while the host hands the request over
;; must: refuse sandbox/fuel "used all of its fuel"
(func (export "configure") (param $at i32) (param $length i32) (result i32)
  (global.set $count (i32.const 1)) (i32.const 0))
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
  (if (global.get $count) (then (loop $l (br $l))))
  (i32.const 131072))
