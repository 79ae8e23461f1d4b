;; tries: keeps its configuration where no snapshot finds it: in a segment that it drops
;; must: load snapshot "data.drop"
(data $d "x")
(func (export "configure") (param $at i32) (param $length i32) (result i32)
  (data.drop $d) (i32.const 0))
