;; tries: traps while the host hands the request over
;; must: refuse sandbox/trap "unreachable"
(func (export "configure") (param $at i32) (param $length i32) (result i32)
  (global.set $count (i32.const 1)) (i32.const 0))
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
  (if (global.get $count) (then unreachable))
  (i32.const 131072))
