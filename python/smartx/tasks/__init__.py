"""Tasks where rows do not name any: clusters of their vectors, called after their words."""

from smartx.tasks.auto import AutoTasks
from smartx.tasks.run import FoundTasks, find_tasks, open_tasks, tasks_there

__all__ = ["AutoTasks", "FoundTasks", "find_tasks", "open_tasks", "tasks_there"]
