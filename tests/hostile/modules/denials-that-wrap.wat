;; tries: denies with a list whose size wraps around 2^32 to nothing
;; must: refuse sandbox/malformed "contract"
(data (i32.const 4096) "\01\00\00\00\00\20\00\00\00\00\00\08")
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.const 4096))
