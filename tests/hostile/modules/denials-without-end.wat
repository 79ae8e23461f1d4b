;; tries: denies with 268,435,455 reasons
;; must: refuse sandbox/malformed "contract"
(data (i32.const 4096) "\01\00\00\00\00\20\00\00\ff\ff\ff\0f")
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.const 4096))
