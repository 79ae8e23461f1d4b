;; tries: has the request written to an odd address
;; must: refuse sandbox/malformed "contract"
(func (export "configure") (param $at i32) (param $length i32) (result i32)
  (global.set $count (i32.const 1)) (i32.const 0))
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
  (select (i32.const 131073) (i32.const 131072) (global.get $count)))
