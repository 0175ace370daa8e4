"""When something is due. Steps count what is finished, from 0."""


def is_due(step: int, every_steps: int, num_steps: int) -> bool:
    """Returns whether an action is due after `step` finished steps of `num_steps`.

    The last step always is; `every_steps` of 0 means at the last step only.
    """
    if step == num_steps:
        return True
    return every_steps > 0 and step > 0 and step % every_steps == 0
