;; tries: has a schema of 100,000 opening brackets
;; must: load manifest "config-schema that is no JSON"
(func (export "describe") (result i32)
  (memory.fill (i32.const 16384) (i32.const 91) (i32.const 100000)) (i32.store (i32.const 1048) (i32.const 16384)) (i32.store (i32.const 1052) (i32.const 100000)) (i32.const 1024))
