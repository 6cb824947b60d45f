"""Why a network calls a film what it calls it: maps, and what they are worth.

A map says which pixels speak for a class. `grad_cam` and `grad_cam_plus_plus` give heat
in [0, 1]; `integrated_gradients` and `occlusion` give signed parts of the class's
logit, which `heat` turns into such a map. `mask_scores` and `sanity_check` tell what a
map is worth, `figure` and `verdicts` draw it.
"""

from sskeras.explain.cam import grad_cam as grad_cam
from sskeras.explain.cam import grad_cam_plus_plus as grad_cam_plus_plus
from sskeras.explain.cam import last_feature_map as last_feature_map
from sskeras.explain.figures import enlarge as enlarge
from sskeras.explain.figures import figure as figure
from sskeras.explain.figures import verdicts as verdicts
from sskeras.explain.parts import heat as heat
from sskeras.explain.parts import integrated_gradients as integrated_gradients
from sskeras.explain.parts import occlusion as occlusion
from sskeras.explain.worth import mask_scores as mask_scores
from sskeras.explain.worth import sanity_check as sanity_check
