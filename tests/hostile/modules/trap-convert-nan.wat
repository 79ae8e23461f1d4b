;; tries: makes an integer of NaN
;; must: refuse sandbox/trap "conversion to integer"
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.trunc_f32_s (f32.const nan)))
