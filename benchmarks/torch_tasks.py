"""The tasks of a torch framework, given its calls for densities and samples."""

import torch


def tasks(model, sizes, log_prob, sample, after_step=None):
    """The number of weights, and a function for each task.

    The tasks that train and score also take other rows.

    Args:
      model: a `torch.nn.Module`.
      sizes: a `Workload`.
      log_prob: callable, from rows to their log-densities.
      sample: callable, from a number to that many rows.
      after_step: callable without arguments that a train step calls after the optimizer.
    """
    torch.set_num_threads(1)
    optimizer = torch.optim.Adam(model.parameters(), lr=sizes.learning_rate, fused=True)
    batch, points = torch.from_numpy(sizes.batch()), torch.from_numpy(sizes.points())

    def set_mode(training):
        if model.training != training:
            model.train(training)

    def train(rows=None):
        set_mode(True)
        x = batch if rows is None else torch.from_numpy(rows)
        optimizer.zero_grad()
        loss = -log_prob(x).mean()
        loss.backward()
        optimizer.step()
        if after_step is not None:
            after_step()
        return loss.item()

    @torch.no_grad()
    def score(rows=None):
        set_mode(False)
        return log_prob(points if rows is None else torch.from_numpy(rows)).numpy()

    @torch.no_grad()
    def draw():
        set_mode(False)
        return sample(sizes.num_samples).numpy()

    num_weights = sum(parameter.numel() for parameter in model.parameters())
    return num_weights, {"train": train, "log_prob": score, "sample": draw}
