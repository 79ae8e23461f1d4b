;; tries: uses references as values
;; must: load compile "not enabled"
(func (drop (ref.null func)))
