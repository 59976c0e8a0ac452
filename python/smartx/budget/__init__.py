"""Shares and capacities -> whole numbers of rows that sum to the budget."""

from smartx.budget.allotment import Allotment as Allotment
from smartx.budget.allotment import allot as allot
from smartx.budget.allotment import check_total as check_total
from smartx.budget.rounding import apportion as apportion
from smartx.budget.rounding import task_budgets as task_budgets
from smartx.budget.templates import template_budgets as template_budgets
