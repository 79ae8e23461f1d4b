;; tries: makes resources of its own
;; must: load exports "`config-digest`"
(component
  (type $r (resource (rep i32)))
  (core func (canon resource.new $r)))
