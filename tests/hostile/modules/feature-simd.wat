;; tries: uses vector instructions
;; must: load compile "not enabled"
(func (drop (v128.const i32x4 0 0 0 0)))
