;; tries: uses atomic instructions
;; must: load compile "not enabled"
(func (drop (i32.atomic.load (i32.const 0))))
