"""5 apply: a deployment as control checks it (`request`) and carries it out (`engine`). Its steps are listed in `plan.stages`."""
