"""The weights of a training on annotated images, to the byte."""


def weights(result):
    model = result.model
    variables = [*model.encoder.variables, *model.head.variables, *model.optimizer.variables]
    return [variable.numpy().tobytes() for variable in variables]
