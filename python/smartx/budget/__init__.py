"""Shares and capacities -> whole numbers of rows or tokens that sum to the budget, and the rows."""

from smartx.budget.allotment import Allotment as Allotment
from smartx.budget.allotment import RoundingName as RoundingName
from smartx.budget.allotment import allot as allot
from smartx.budget.allotment import check_total as check_total
from smartx.budget.allotment import total_of as total_of
from smartx.budget.asked import Budget as Budget
from smartx.budget.asked import named_rows as named_rows
from smartx.budget.chosen import chosen_rows as chosen_rows
from smartx.budget.demands import Demands as Demands
from smartx.budget.divisor import webster as webster
from smartx.budget.rounding import apportion as apportion
from smartx.budget.rounding import task_budgets as task_budgets
from smartx.budget.supply import Supply as Supply
from smartx.budget.supply import TokenKind as TokenKind
from smartx.budget.supply import check_both as check_both
from smartx.budget.supply import supply_of as supply_of
from smartx.budget.supply import supply_of_rows as supply_of_rows
from smartx.budget.supply import tokens_of as tokens_of
from smartx.budget.take import Taken as Taken
from smartx.budget.take import take as take
from smartx.budget.templates import template_budgets as template_budgets
