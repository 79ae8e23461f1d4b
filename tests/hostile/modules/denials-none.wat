;; tries: denies and gives no reason
;; must: refuse sandbox/malformed "gave no reason"
(data (i32.const 4096) "\01\00\00\00\00\20\00\00\00\00\00\00")
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.const 4096))
