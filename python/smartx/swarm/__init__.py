"""Swarms: many mixtures around a prior, and the response surface of what training on them gave."""

from smartx.swarm.fit import Asked as Asked
from smartx.swarm.fit import Fit as Fit
from smartx.swarm.fit import fit_swarm as fit_swarm
from smartx.swarm.surface import Surface as Surface
