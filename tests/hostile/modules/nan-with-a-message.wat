;; tries: hides what it is in the bits of a NaN; every NaN is the same one
;; must: allow
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (if (i32.ne (i32.reinterpret_f32 (f32.add (f32.const nan:0x123456) (f32.load (i32.const 4096)))) (i32.const 0x7fc00000)) (then (return (i32.const 1300))))
  (if (i64.ne (i64.reinterpret_f64 (f64.sqrt (f64.const -1))) (i64.const 0x7ff8000000000000)) (then (return (i32.const 1300))))
  (i32.const 0))
(data (i32.const 4096) "\01\00\a0\ff")
