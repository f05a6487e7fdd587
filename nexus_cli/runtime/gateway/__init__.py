"""The role gateway: links and their supervisors, the disk log, the publisher and the live view. `gateway` joins them."""
