;; tries: calls itself without end while it is configured
;; must: load call configure sandbox/trap "stack exhausted"
(func $deep (call $deep))
(func (export "configure") (param $at i32) (param $length i32) (result i32)
  (call $deep) (i32.const 0))
