;; tries: has its configuration written over its own answer
;; must: load call configure sandbox/malformed "contract"
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
  (i32.const 0))
