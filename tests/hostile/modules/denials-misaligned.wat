;; tries: denies with a list at an odd address
;; must: refuse sandbox/malformed "contract"
(data (i32.const 4096) "\01\00\00\00\01\20\00\00\01\00\00\00")
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.const 4096))
