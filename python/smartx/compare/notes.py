"""What each number favours, so that nobody takes it for the quality of a model."""

from __future__ import annotations

NOTES = (
    "None of these numbers is the quality of a trained model. They say what a choice is like.",
    "Coverage, twins, objective and copied responses use the vectors that most rankers choose by; "
    "coverage and objective are what facility location maximises, so it is expected to lead there.",
    "Twins are what facility location, k-center, log-det and removal of near duplicates avoid by "
    "what they are.",
    "A copied response also rewards having seen the same passage in another template.",
    "The probe rewards rows of every task, so equal shares.",
    "z is the distance from random choices in their standard deviations: the luck of the draw. The "
    "interval is over families of held-out tasks, and is the one to look at before believing that "
    "another corpus would show the same.",
    "The objective's certificate is a part of a bound that belongs to a strategy's own numbers of "
    "rows of each task; it judges the ranker, not the shares.",
)
