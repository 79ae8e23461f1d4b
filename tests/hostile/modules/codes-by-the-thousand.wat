;; tries: declares 1,000 denial codes, all the same bytes
;; must: load manifest "1000 denial-codes, 256 are the most"
(func (export "describe") (result i32)
  (local $i i32)
  (loop $l
    (i32.store (i32.add (i32.const 8192) (i32.shl (local.get $i) (i32.const 3))) (i32.const 1220))
    (i32.store (i32.add (i32.const 8196) (i32.shl (local.get $i) (i32.const 3))) (i32.const 2))
    (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000))))
  (i32.store (i32.const 1072) (i32.const 8192)) (i32.store (i32.const 1076) (i32.const 1000)) (i32.const 1024))
