"""Tasks where rows do not name any: clusters of their vectors, called after their words."""

from smartx.tasks.auto import AutoTasks
from smartx.tasks.cost import tasks_cost
from smartx.tasks.group import Grouped, as_read, assumed, group_rows, grouped_there, tasks_of
from smartx.tasks.run import FoundTasks, find_tasks, open_tasks, tasks_there

__all__ = [
    "AutoTasks",
    "FoundTasks",
    "Grouped",
    "as_read",
    "assumed",
    "find_tasks",
    "group_rows",
    "grouped_there",
    "open_tasks",
    "tasks_cost",
    "tasks_of",
    "tasks_there",
]
