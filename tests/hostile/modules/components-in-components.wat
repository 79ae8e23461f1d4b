;; tries: nests components forty deep
;; must: load exports "`config-digest`, `describe`, `configure`, `evaluate`"
(component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component ))))))))))))))))))))))))))))))))))))))))
