"""The rules of the service centre: one line for each service that the back end has a part in."""

from __future__ import annotations

from typing import Final

from fleet.cloud.calls import CallRule
from fleet.cloud.campaigns import CampaignRule
from fleet.cloud.online import OnlineRule
from fleet.cloud.partners import PartnerRule
from fleet.cloud.people.rule import PeopleRule
from fleet.cloud.rule import Rule

RULES: Final[tuple[type[Rule], ...]] = (PeopleRule, PartnerRule, CampaignRule, CallRule, OnlineRule)
"""In the order in which they are given an event that several of them want."""
